import { type ComponentProps, useEffect, useState } from "react";
import { choose } from "./address";
import { type Choice, orders, type Priority, priorities, views } from "./choice";
import { Field } from "./Field";
import { KNOWN_TAGS } from "./TagsField";

/** Milliseconds after the last key until a search begins. */
const PAUSE = 300;

/** The search, the filters and the order. */
export function Filters({ choice, knownTags }: { choice: Choice; knownTags: string[] }) {
  return (
    <search className="filters">
      <TextFilter
        label="Search"
        placeholder="Title or description"
        maxLength={100}
        value={choice.q}
        pause={() => PAUSE}
        onSettle={(q) => choose({ q })}
      />
      <TextFilter
        label="Tag"
        placeholder="Any"
        list={KNOWN_TAGS}
        maxLength={50}
        value={choice.tag}
        // The beginning of a tag selects nothing.
        pause={(tag) => (tag === "" || knownTags.includes(tag) ? 0 : 4 * PAUSE)}
        onSettle={(tag) => choose({ tag })}
      />
      <Field
        label="Priority"
        value={choice.priority}
        onChange={(event) => choose({ priority: event.target.value as Priority | "" })}
      >
        <option value="">Any</option>
        {Object.entries(priorities).map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </Field>
      <Field
        label="Sort by"
        value={choice.sort || views[choice.view].order}
        onChange={(event) => choose({ sort: event.target.value as Choice["sort"] })}
      >
        {Object.entries(orders).map(([value, { label }]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </Field>
    </search>
  );
}

type TextFilterProps = Omit<ComponentProps<typeof Field>, "value" | "onChange"> & {
  value: string;
  pause: (text: string) => number;
  onSettle: (text: string) => void;
};

/** A text that takes effect after a pause, at Enter, or when the user leaves the field. */
function TextFilter({ value, pause, onSettle, ...props }: TextFilterProps) {
  const [text, setText] = useState(value);
  const [seen, setSeen] = useState(value);
  // The choice has changed in another way, such as a step back.
  if (value !== seen) {
    setSeen(value);
    if (text.trim() !== value) setText(value);
  }
  const settle = () => onSettle(text.trim());
  // biome-ignore lint/correctness/useExhaustiveDependencies: only another text begins another pause.
  useEffect(() => {
    if (text.trim() === value) return;
    const timer = setTimeout(settle, pause(text.trim()));
    return () => clearTimeout(timer);
  }, [text, value]);
  return (
    <Field
      {...props}
      type="search"
      value={text}
      onChange={(event) => setText(event.target.value)}
      onKeyDown={(event) => event.key === "Enter" && settle()}
      onBlur={settle}
    />
  );
}
