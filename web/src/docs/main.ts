import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

SwaggerUI({ dom_id: "#reference", url: "/openapi.json", deepLinking: true, validatorUrl: null });
