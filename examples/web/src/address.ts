import { useMemo, useSyncExternalStore } from "react";
import { type Choice, orders, priorities, views } from "./choice";

/** What the user has chosen is in the address, so reloading, going back and sharing it work. */
export function useChoice(): Choice {
  const search = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => read(search), [search]);
}

/** Changes the choice, and with it the address. */
export function choose(change: Partial<Choice>) {
  const before = read(location.search);
  const after = { ...before, ...change };
  const address = addressOf(after);
  if (address === addressOf(before)) return;
  // A search and its refinements are one step of the history.
  if (before.q && after.q && before.q !== after.q) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  // The browser fires it only for steps in the history.
  dispatchEvent(new PopStateEvent("popstate"));
}

export function addressOf({ view, ...others }: Choice): string {
  const parts = Object.entries({ view: view === "all" ? "" : view, ...others }).filter(([, value]) => value);
  return parts.length > 0 ? `?${new URLSearchParams(parts)}` : location.pathname;
}

/** Ignores what it does not know: anyone can write an address. */
function read(search: string): Choice {
  const parameters = new URLSearchParams(search);
  const text = (name: string) => parameters.get(name)?.trim() ?? "";
  const oneOf = <Key extends string>(name: string, values: Record<Key, unknown>) =>
    Object.hasOwn(values, text(name)) ? (text(name) as Key) : "";
  return {
    view: oneOf("view", views) || "all",
    q: text("q"),
    tag: text("tag"),
    priority: oneOf("priority", priorities),
    sort: oneOf("sort", orders),
  };
}

function subscribe(onChange: () => void) {
  addEventListener("popstate", onChange);
  return () => removeEventListener("popstate", onChange);
}
