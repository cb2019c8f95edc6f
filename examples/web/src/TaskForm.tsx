import { type ChangeEvent, type ReactNode, useEffect, useRef } from "react";
import type { Task } from "todo-api-client";
import { explain, violations } from "./api";
import { Field } from "./Field";
import { fromInput, toInput } from "./time";

/** The values of the inputs. */
export type Draft = { title: string; description: string; due_date: string };

export const toDraft = (task: Task): Draft => ({
  title: task.title,
  description: task.description ?? "",
  due_date: task.due_date ? toInput(task.due_date) : "",
});

export const fromDraft = (draft: Draft) => ({
  title: draft.title,
  description: draft.description || null,
  due_date: draft.due_date ? fromInput(draft.due_date) : null,
});

type TaskFormProps = {
  label: string;
  draft: Draft;
  onChange: (change: Partial<Draft>) => void;
  onSubmit: () => void;
  error: Error | null;
  hints?: Partial<Draft>;
  /** Whether to hide everything except the title. */
  compact?: boolean;
  children: ReactNode;
};

/** Shows every violation at its field, and any other error above the buttons. */
export function TaskForm({ label, draft, onChange, onSubmit, error, hints, compact, children }: TaskFormProps) {
  const form = useRef<HTMLFormElement>(null);
  const wrong = violations(error);
  const field = (name: keyof Draft) => ({
    value: draft[name],
    onChange: (event: ChangeEvent<HTMLInputElement>) => onChange({ [name]: event.target.value }),
    error: wrong[`/${name}`],
    hint: hints?.[name],
  });
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  }, [error]);

  const details = (
    <>
      <Field label="Description" rows={3} {...field("description")} />
      <Field label="Due" type="datetime-local" max="9999-12-31T23:59" {...field("due_date")} />
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
      <Field label="Title" required autoFocus={!compact} {...field("title")} />
      {compact ? (
        <details>
          <summary>Description and due date</summary>
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
