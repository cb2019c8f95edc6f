/** What Postman and Bruno send after they have imported the document. */

import { openApiToBruno } from "@usebruno/converters";
import { convertV2 } from "openapi-to-postmanv2";

export interface Call {
  method: string;
  /** With variables of the path as `:name`. */
  url: string;
  /** The path's variables, as the importer fills them. */
  variables: Record<string, string>;
  headers: Record<string, string>;
  body: string | undefined;
}

interface Field {
  key: string;
  value: string;
  disabled?: boolean;
}

interface PostmanItem {
  item?: PostmanItem[];
  request?: {
    method: string;
    url: { host: string[]; path: string[]; query: Field[]; variable: Field[] };
    header: Field[];
    body: { mode?: string; raw?: string };
    auth: { type: string; bearer: Field[] };
  };
}

interface BrunoField {
  name: string;
  value: string;
  enabled: boolean;
  type?: "path" | "query";
}

interface BrunoItem {
  items?: BrunoItem[];
  request: {
    method: string;
    url: string;
    params: BrunoField[];
    headers: BrunoField[];
    body: { mode: string; json: string | null };
    auth: { mode: string; bearer: { token: string } };
  };
}

/** Fills in the variables of a collection; one that has no value stays, and makes the request fail. */
function fill(text: string, values: Record<string, string>): string {
  return text.replace(/{{(.+?)}}/g, (variable, name) => values[name] ?? variable);
}

const record = (fields: Field[]) =>
  Object.fromEntries(fields.filter(({ disabled }) => !disabled).map(({ key, value }) => [key, value]));

/** With the settings that the guide names: parameters from the examples, and the optional ones off. */
export async function postman(document: string, token: string): Promise<Call[]> {
  const options = { parametersResolution: "Example", enableOptionalParameters: false } as const;
  const collection = await new Promise<{ item: PostmanItem[]; variable: Field[] }>((resolve, reject) => {
    convertV2({ type: "string", data: document }, options, (error: unknown, result) => {
      const data = result?.output?.[0]?.data;
      if (error || !result?.result || !data) reject(new Error(`Postman: ${result?.reason}`, { cause: error }));
      else resolve(data as unknown as { item: PostmanItem[]; variable: Field[] });
    });
  });
  const values = { ...record(collection.variable), bearerToken: token };
  const calls = (items: PostmanItem[]): Call[] =>
    items.flatMap(({ item, request }) => {
      if (!request) return calls(item ?? []);
      const { url, auth, body } = request;
      const query = new URLSearchParams(record(url.query)).toString();
      const bearer = fill(record(auth.bearer).token ?? "", values);
      return {
        method: request.method,
        url: fill([...url.host, ...url.path].join("/") + (query && `?${query}`), values),
        variables: record(url.variable),
        headers: { ...record(request.header), ...(auth.type === "bearer" && { Authorization: `Bearer ${bearer}` }) },
        body: body.mode === "raw" ? body.raw : undefined,
      };
    });
  return calls(collection.item);
}

export function bruno(document: string, token: string): Call[] {
  const collection = openApiToBruno(JSON.parse(document));
  const [environment] = collection.environments;
  const values = { ...Object.fromEntries(environment!.variables.map(({ name, value }) => [name, value])), token };
  const enabled = (fields: BrunoField[]) =>
    Object.fromEntries(fields.filter((field) => field.enabled).map(({ name, value }) => [name, value]));
  const calls = (items: BrunoItem[]): Call[] =>
    items.flatMap(({ items, request }) => {
      if (items) return calls(items);
      const { auth, body, params } = request;
      const query = new URLSearchParams(enabled(params.filter(({ type }) => type === "query"))).toString();
      return {
        method: request.method,
        url: fill(request.url + (query && `?${query}`), values),
        variables: enabled(params.filter(({ type }) => type === "path")),
        headers: {
          ...enabled(request.headers),
          // Bruno sends the type of a body that it edits as JSON.
          ...(body.mode === "json" && { "Content-Type": "application/json" }),
          ...(auth.mode === "bearer" && { Authorization: `Bearer ${fill(auth.bearer.token, values)}` }),
        },
        body: body.mode === "json" ? (body.json ?? undefined) : undefined,
      };
    });
  return calls(collection.items as BrunoItem[]);
}
