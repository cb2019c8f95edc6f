import { type Choice, hasFilters, priorities, views } from "./choice";

/** Why there are no tasks to see. */
export function Empty({ choice, onClear }: { choice: Choice; onClear: () => void }) {
  const { q, tag, priority, view } = choice;
  if (!hasFilters(choice)) return <p className="empty">{views[view].nothing}</p>;
  const filters = [
    q && `the text “${q}”`,
    tag && `the tag “${tag}”`,
    priority && `the priority ${priorities[priority].toLowerCase()}`,
  ].filter(Boolean);
  const where = view === "all" ? "" : ` in “${views[view].label}”`;
  return (
    <div className="empty">
      <p>
        No task{where} has {new Intl.ListFormat("en").format(filters)}.
      </p>
      <button type="button" onClick={onClear}>
        Clear filters
      </button>
    </div>
  );
}
