import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useLayoutEffect, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { type Task, unwrap } from "todo-api-client";
import { explain, statusOf, useApi } from "./api";
import { ChoiceLink } from "./ChoiceLink";
import { type Choice, priorities } from "./choice";
import { EditTask } from "./EditTask";
import { Bin, Clock, Flag, Pencil } from "./icons";
import { formatTime } from "./time";

type TaskItemProps = {
  task: Task;
  now: number;
  choice: Choice;
  say: (message: string) => void;
  onLeave: () => void;
};

export function TaskItem({ task, now, choice, say, onLeave }: TaskItemProps) {
  const api = useApi();
  const queries = useQueryClient();
  const [editing, setEditing] = useState(false);
  const row = useRef<HTMLLIElement>(null);
  const editButton = useRef<HTMLButtonElement>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only the removal of the row may run it, never a new onLeave.
  useLayoutEffect(() => {
    const node = row.current;
    // If the row with the keyboard focus is removed, the focus must not leave the page.
    return () => {
      if (node?.contains(document.activeElement)) onLeave();
    };
  }, []);
  // The row of a deleted task cannot show the message itself.
  const onError = (error: Error) => statusOf(error) === 404 && say(explain(error));
  const reload = () => queries.invalidateQueries({ queryKey: ["tasks"] });

  const complete = useMutation({
    mutationFn: async (completed: boolean) => unwrap(await api.completeTask(task.id, { completed })),
    // In order, if the user is faster than the network.
    scope: { id: task.id },
    onSuccess: ({ completed }) => say(completed ? `Completed “${task.title}”.` : `“${task.title}” is pending again.`),
    onError,
    onSettled: reload,
  });
  const remove = useMutation({
    mutationFn: async () => {
      const answer = await api.deleteTask(task.id);
      if (answer.status !== 404) unwrap(answer);
    },
    onSuccess: () => say(`Deleted “${task.title}”.`),
    onSettled: reload,
  });

  const close = () => {
    flushSync(() => setEditing(false));
    editButton.current?.focus();
  };
  if (editing)
    return (
      <li ref={row} className="task">
        <EditTask
          id={task.id}
          onCancel={() => {
            close();
            void reload();
          }}
          onSave={(saved) => {
            close();
            say(`Saved “${saved.title}”.`);
          }}
        />
      </li>
    );

  const completed = complete.isPending ? complete.variables : task.completed;
  const overdue = !completed && task.due_date !== null && Date.parse(task.due_date) < now;
  const error = complete.error ?? remove.error;
  return (
    <li ref={row} className={completed ? "task completed" : "task"}>
      <label className="title">
        <input type="checkbox" checked={completed} onChange={() => complete.mutate(!completed)} />
        <span>{task.title}</span>
      </label>
      <div className="actions">
        <button ref={editButton} type="button" aria-label={`Edit ${task.title}`} onClick={() => setEditing(true)}>
          <Pencil />
        </button>
        <button type="button" aria-label={`Delete ${task.title}`} onClick={() => dialog.current?.showModal()}>
          <Bin />
        </button>
      </div>
      {task.description && <p className="description">{task.description}</p>}
      <p className="facts">
        {task.priority !== "none" && (
          <span className={`priority ${task.priority}`}>
            <Flag />
            {priorities[task.priority]} <span className="hidden">priority</span>
          </span>
        )}
        {task.due_date && (
          <span className={overdue ? "due overdue" : "due"}>
            <Clock />
            <time dateTime={task.due_date}>{formatTime(task.due_date)}</time>
            {overdue && <strong>Overdue</strong>}
          </span>
        )}
        {task.tags.map((tag) => (
          <ChoiceLink key={tag} choice={choice} change={{ tag }} className="tag">
            <span className="hidden">Tag: </span>
            {tag}
          </ChoiceLink>
        ))}
      </p>
      {error && (
        <p role="alert" className="alert">
          {explain(error)}
        </p>
      )}
      <dialog ref={dialog} aria-label="Delete this task?">
        <form method="dialog">
          <h2>Delete this task?</h2>
          <p>“{task.title}” will be gone for good.</p>
          <div className="buttons">
            <button type="submit">Cancel</button>
            <button type="submit" className="danger" onClick={() => remove.mutate()}>
              Delete
            </button>
          </div>
        </form>
      </dialog>
    </li>
  );
}
