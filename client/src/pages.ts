// RFC 8288, section 3: `<target>; name=value; name="value", <target>…`
const PARAMETER = /;\s*([^\s=;,]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?/g;
const LINK = new RegExp(`<([^>]*)>((?:\\s*${PARAMETER.source})*)`, "g");

/** The `cursor` of the page behind an answer of `listTasks`; `undefined` where it is the last. */
export function nextCursor({ response }: { response: Response }): string | undefined {
  const target = linkTarget(response.headers.get("Link") ?? "", "next");
  // The target is relative to the API, which may be at another path than it knows itself: only the query is of use.
  return target === undefined ? undefined : (new URL(target, "http://any").searchParams.get("cursor") ?? undefined);
}

/** The target of the first link with this relation in a header `Link`. */
export function linkTarget(header: string, relation: string): string | undefined {
  for (const [, target, parameters = ""] of header.matchAll(LINK)) {
    // Further `rel` are to be ignored (section 3.3).
    const rel = [...parameters.matchAll(PARAMETER)].find(([, name]) => name?.toLowerCase() === "rel");
    const relations = (rel?.[2] ?? rel?.[3] ?? "").toLowerCase().split(/\s+/);
    if (relations.includes(relation)) return target;
  }
  return undefined;
}
