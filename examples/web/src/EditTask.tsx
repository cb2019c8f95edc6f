import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type Task, unwrap } from "todo-api-client";
import { explain, statusOf, useApi } from "./api";
import { priorities } from "./choice";
import { type Draft, fromDraft, TaskForm, toDraft } from "./TaskForm";
import { formatTime } from "./time";

type EditTaskProps = { id: string; onSave: (task: Task) => void; onCancel: () => void };

/** Edits the newest version on the server, with the user's changes applied to it. */
export function EditTask({ id, onSave, onCancel }: EditTaskProps) {
  const api = useApi();
  const queries = useQueryClient();
  const [changes, setChanges] = useState<Partial<Draft>>({});
  const current = useQuery({
    queryKey: ["task", id],
    queryFn: async () => {
      const answer = await api.getTask(id);
      return { task: unwrap(answer), etag: answer.etag! };
    },
    staleTime: Infinity,
    gcTime: 0,
  });
  const saved = current.data && toDraft(current.data.task);
  const draft = saved && { ...saved, ...changes };
  // As text, because tags are an array.
  const differs = (name: string) =>
    JSON.stringify(draft?.[name as keyof Draft]) !== JSON.stringify(saved?.[name as keyof Draft]);

  const save = useMutation({
    mutationFn: async ({ draft, etag }: { draft: Draft; etag: string }) => {
      const change = Object.fromEntries(Object.entries(fromDraft(draft)).filter(([name]) => differs(name)));
      return unwrap(await api.updateTask(id, change, { ifMatch: etag }));
    },
    onSuccess: async (task) => {
      await queries.invalidateQueries({ queryKey: ["tasks"] });
      onSave(task);
    },
    onError: (error) => {
      if (statusOf(error) !== 412) return;
      void current.refetch();
      void queries.invalidateQueries({ queryKey: ["tasks"] });
    },
  });

  if (!draft)
    return (
      <div className="edit">
        {current.error ? <p role="alert">{explain(current.error)}</p> : <p role="status">Loading…</p>}
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    );

  const theirs = {
    ...saved,
    due_date: current.data.task.due_date && formatTime(current.data.task.due_date),
    priority: priorities[saved.priority],
    tags: saved.tags.join(", "),
  };
  const hints = Object.entries(theirs)
    .filter(([name]) => statusOf(save.error) === 412 && differs(name))
    .map(([name, value]) => [name, `Now saved: ${value || "nothing"}`]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: a shortcut for the Cancel button, for keys pressed in the form.
    <div className="edit" onKeyDown={(event) => event.key === "Escape" && onCancel()}>
      <TaskForm
        label={`Edit ${saved.title}`}
        draft={draft}
        onChange={(change) => setChanges({ ...changes, ...change })}
        onSubmit={() => !save.isPending && save.mutate({ draft, etag: current.data.etag })}
        error={save.error}
        hints={Object.fromEntries(hints)}
      >
        <button type="submit" className="primary" aria-disabled={save.isPending}>
          Save
        </button>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </TaskForm>
    </div>
  );
}
