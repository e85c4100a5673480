import type { Plugin } from "swagger-ui-dist/swagger-ui-es-bundle.js";

type Example = string | number | string[];
type Parameter = { name: string; example?: Example; "x-example"?: string };
type Document = { paths: Record<string, Record<string, { parameters?: Parameter[] }>> };

/**
 * The document with the examples of parameters under a name that the viewer only shows. It fills in
 * what stands under `example`, and would send all of them with "Try it out": every filter of a list
 * at once, and ids that nobody has.
 */
export function showOnly(document: Document): Document {
  for (const operation of Object.values(document.paths).flatMap(Object.values)) {
    for (const parameter of operation.parameters ?? []) {
      if (parameter.example === undefined) continue;
      parameter["x-example"] = String(parameter.example);
      delete parameter.example;
    }
  }
  return document;
}

export const examplesToRead: Plugin = {
  statePlugins: {
    spec: {
      wrapActions: {
        updateJsonSpec: (update) => (document) => update(showOnly(document as Document)),
      },
    },
  },
};
