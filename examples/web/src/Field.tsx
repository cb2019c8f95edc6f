import { type ComponentProps, useId } from "react";

type FieldProps = { label: string; hint?: string | undefined; error?: string | undefined };

/** A labelled input with its error; a textarea if it has `rows`, a select if it has options. */
export function Field({ label, hint, error, ...props }: FieldProps & ComponentProps<"input"> & { rows?: number }) {
  const id = useId();
  const Control = (props.rows ? "textarea" : props.children ? "select" : "input") as "input";
  const note = error ?? hint;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <Control
        id={id}
        aria-invalid={error !== undefined}
        aria-describedby={note === undefined ? undefined : `${id}-note`}
        {...props}
      />
      {note !== undefined && (
        <p id={`${id}-note`} className={error === undefined ? "hint" : "hint error"}>
          {note}
        </p>
      )}
    </div>
  );
}
