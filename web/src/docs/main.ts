import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";
import { examplesToRead } from "./examples";

// The viewer cleans its Markdown with DOMPurify and then sets it as HTML, which trusted types refuse
// without a policy. Scripts and script addresses stay refused, and the header needs no exception.
window.trustedTypes?.createPolicy("default", { createHTML: (cleaned) => cleaned });

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

SwaggerUI({
  dom_id: "#reference",
  url: "/openapi.json",
  deepLinking: true,
  validatorUrl: null,
  plugins: [examplesToRead],
});
