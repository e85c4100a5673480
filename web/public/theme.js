// Before the first paint, so that a chosen theme does not flash. A file of its own: no inline script.
const theme = localStorage.getItem("windlass.theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
