/** What the form uses of a payload's JSON schema. */
export interface SchemaField {
  name: string;
  kind: string;
  required: boolean;
  /** As JSON text; absent where the schema names no default. */
  fallback?: string;
  description?: string;
}

type Schema = Record<string, unknown>;

/** The fields of an object schema, with one level of `$ref` and nullable unions read through. */
export function fieldsOf(root: Schema): SchemaField[] {
  const schema = resolve(root, root);
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(objectAt(schema.properties)).map(([name, raw]) => {
    const field = objectAt(raw);
    return {
      name,
      kind: kindOf(field, root),
      required: required.includes(name),
      ...("default" in field && { fallback: JSON.stringify(field.default) }),
      ...(typeof field.description === "string" && { description: field.description }),
    };
  });
}

/** A payload to start from: the required fields, empty, or `{}` where there are none. */
export function templateOf(root: Schema): string {
  const required = fieldsOf(root).filter((field) => field.required);
  const entries = required.map(({ name, kind }) => [name, EMPTY[kind] ?? null]);
  return JSON.stringify(Object.fromEntries(entries), null, 2);
}

const EMPTY: Record<string, unknown> = {
  string: "",
  integer: 0,
  number: 0,
  boolean: false,
  array: [],
  object: {},
};

function kindOf(field: Schema, root: Schema): string {
  const options = field.anyOf ?? field.oneOf;
  if (Array.isArray(options)) {
    return [...new Set(options.map((option) => kindOf(objectAt(option), root)))].join(" or ");
  }
  const known = resolve(field, root);
  if (Array.isArray(known.enum))
    return known.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (Array.isArray(known.type)) return known.type.join(" or ");
  return typeof known.type === "string" ? known.type : "anything";
}

function resolve(schema: Schema, root: Schema): Schema {
  if (typeof schema.$ref !== "string") return schema;
  const path = schema.$ref.replace(/^#\//, "").split("/");
  return path.reduce((at: Schema, key) => objectAt(at[key]), root);
}

function objectAt(value: unknown): Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Schema)
    : {};
}
