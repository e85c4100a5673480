declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface Options {
    dom_id: string;
    url: string;
    deepLinking?: boolean;
    /** Null keeps the viewer from asking a validator on the internet. */
    validatorUrl: null;
  }
  export default function SwaggerUI(options: Options): void;
}

interface Window {
  trustedTypes?: {
    createPolicy(name: string, rules: { createHTML: (text: string) => string }): unknown;
  };
}
