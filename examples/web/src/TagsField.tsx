import { useRef, useState } from "react";
import { Field } from "./Field";

/** The id of the list with the tags to suggest. */
export const KNOWN_TAGS = "known-tags";

export const KnownTags = ({ tags }: { tags: string[] }) => (
  <datalist id={KNOWN_TAGS}>
    {tags.map((tag) => (
      <option key={tag} value={tag} />
    ))}
  </datalist>
);

type TagsFieldProps = {
  tags: string[];
  onChange: (tags: string[]) => void;
  hint?: string | undefined;
  error?: string | undefined;
};

/** The tags, each with a button that removes it, and an input for more. */
export function TagsField({
  tags,
  onChange,
  hint = "Press Enter or type a comma after each tag.",
  error,
}: TagsFieldProps) {
  const [text, setText] = useState("");
  const field = useRef<HTMLDivElement>(null);
  const add = (text: string) => {
    const added = text.split(",").map((tag) => tag.trim());
    const all = [...new Set([...tags, ...added.filter(Boolean)])];
    setText("");
    if (all.length > tags.length) onChange(all);
  };
  return (
    <div ref={field} className="tags-field">
      <Field
        label="Tags"
        list={KNOWN_TAGS}
        value={text}
        hint={hint}
        error={error}
        onChange={({ target }) => (target.value.includes(",") ? add(target.value) : setText(target.value))}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || text.trim() === "" || event.nativeEvent.isComposing) return;
          event.preventDefault();
          add(text);
        }}
        // So that no text is lost if the user saves without ending the tag.
        onBlur={() => add(text)}
      />
      <div className="tags" aria-live="polite">
        {tags.map((tag) => (
          <span key={tag} className="tag">
            {tag}
            <button
              type="button"
              aria-label={`Remove the tag ${tag}`}
              onClick={() => {
                onChange(tags.filter((other) => other !== tag));
                field.current?.querySelector("input")?.focus();
              }}
            >
              ×
            </button>
          </span>
        ))}
      </div>
    </div>
  );
}
