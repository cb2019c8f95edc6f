import { ChoiceLink } from "./ChoiceLink";
import { type Choice, type View, views } from "./choice";

type ViewLinksProps = { choice: Choice; counts: Record<View, number | undefined> | undefined };

/** The views, each with its number of tasks. */
export const ViewLinks = ({ choice, counts }: ViewLinksProps) => (
  <nav className="views" aria-label="Views">
    {(Object.keys(views) as View[]).map((view) => (
      <ChoiceLink key={view} choice={choice} change={{ view }} current={view === choice.view}>
        {views[view].label} {counts?.[view] !== undefined && <Count number={counts[view]} />}
      </ChoiceLink>
    ))}
  </nav>
);

const Count = ({ number }: { number: number }) => (
  <span className="count">
    {number}
    <span className="hidden">{number === 1 ? " task" : " tasks"}</span>
  </span>
);
