declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface Options {
    dom_id: string;
    url: string;
    deepLinking?: boolean;
    /** Null keeps the viewer from asking a validator on the internet. */
    validatorUrl: null;
    plugins?: Plugin[];
  }
  type Update = (document: unknown) => unknown;
  export interface Plugin {
    statePlugins: { spec: { wrapActions: { updateJsonSpec: (update: Update) => Update } } };
  }
  export default function SwaggerUI(options: Options): void;
}

interface Window {
  trustedTypes?: {
    createPolicy(name: string, rules: { createHTML: (text: string) => string }): unknown;
  };
}
