// RFC 8288, section 3: `<target>; name=value; name="value", <target>…`
const PARAMETER = /;\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/g;
const LINK = new RegExp(`<([^>]*)>((?:\\s*${PARAMETER.source})*)`, "g");

/** The `cursor` of the page after an answer of `listTasks`; `undefined` after the last page. */
export function nextCursor({ response }: { response: Response }): string | undefined {
  const target = linkTarget(response.headers.get("Link") ?? "", "next");
  // Use only the query: a proxy may serve the API at another path than the one in the target.
  return target === undefined ? undefined : (new URL(target, "http://any").searchParams.get("cursor") ?? undefined);
}

/** The target of the first link with this relation in a header `Link`. */
export function linkTarget(header: string, relation: string): string | undefined {
  for (const [, target, parameters = ""] of header.matchAll(LINK)) {
    // Only the first `rel` counts (section 3.3).
    const rel = [...parameters.matchAll(PARAMETER)].find(([, name]) => name?.toLowerCase() === "rel");
    const relations = (rel?.[2] ?? rel?.[3] ?? "").toLowerCase().split(/\s+/);
    if (relations.includes(relation)) return target;
  }
  return undefined;
}
