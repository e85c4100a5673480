"""HTTP: routes, errors and headers by Litestar, the dashboard's files beside them."""
