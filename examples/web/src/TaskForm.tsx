import { type ChangeEvent, type ReactNode, useEffect, useRef } from "react";
import type { Task } from "todo-api-client";
import { explain, violations } from "./api";
import { type Priority, priorities } from "./choice";
import { Field } from "./Field";
import { TagsField } from "./TagsField";
import { fromInput, toInput } from "./time";

/** The values of the inputs. */
export type Draft = { title: string; description: string; due_date: string; priority: Priority; tags: string[] };

export const emptyDraft: Draft = { title: "", description: "", due_date: "", priority: "none", tags: [] };

export const toDraft = (task: Task): Draft => ({
  title: task.title,
  description: task.description ?? "",
  due_date: task.due_date ? toInput(task.due_date) : "",
  priority: task.priority,
  tags: task.tags,
});

export const fromDraft = (draft: Draft) => ({
  ...draft,
  description: draft.description || null,
  due_date: draft.due_date ? fromInput(draft.due_date) : null,
});

type TaskFormProps = {
  label: string;
  draft: Draft;
  onChange: (change: Partial<Draft>) => void;
  onSubmit: () => void;
  error: Error | null;
  hints?: Partial<Record<keyof Draft, string>>;
  /** Whether to hide everything except the title. */
  compact?: boolean;
  children: ReactNode;
};

/** Shows every violation at its field, and any other error above the buttons. */
export function TaskForm({ label, draft, onChange, onSubmit, error, hints, compact, children }: TaskFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const wrong = violations(error);
  const field = (name: Exclude<keyof Draft, "tags">, label: string) => ({
    label,
    value: draft[name],
    onChange: (event: ChangeEvent<HTMLInputElement>) => onChange({ [name]: event.target.value }),
    error: wrong[`/${name}`] && `${label} ${wrong[`/${name}`]}.`,
    hint: hints?.[name],
  });
  const wrongTag = draft.tags.findIndex((_, index) => wrong[`/tags/${index}`]);
  const wrongTags = wrongTag < 0 ? wrong["/tags"] : `“${draft.tags[wrongTag]}” ${wrong[`/tags/${wrongTag}`]}`;
  useEffect(() => {
    const field = error && form.current?.querySelector<HTMLElement>("[aria-invalid=true]");
    field?.closest("details")?.setAttribute("open", "");
    field?.focus();
  }, [error]);

  const details = (
    <>
      <Field rows={3} {...field("description", "Description")} />
      <div className="pair">
        <Field type="datetime-local" max="9999-12-31T23:59" {...field("due_date", "Due")} />
        <Field {...field("priority", "Priority")}>
          {Object.entries(priorities).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </Field>
      </div>
      <TagsField
        tags={draft.tags}
        onChange={(tags) => onChange({ tags })}
        error={wrongTags && `Tags: ${wrongTags}.`}
        hint={hints?.tags}
      />
    </>
  );
  return (
    <form
      ref={form}
      className={compact ? "task-form compact panel" : "task-form"}
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      <Field required autoFocus={!compact} {...field("title", "Title")} />
      {compact ? (
        <details>
          <summary>Description, due date, priority and tags</summary>
          {details}
        </details>
      ) : (
        details
      )}
      {error && !Object.keys(wrong).length && (
        <p role="alert" className="alert">
          {explain(error)}
        </p>
      )}
      <div className="buttons">{children}</div>
    </form>
  );
}
