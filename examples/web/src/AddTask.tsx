import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { newIdempotencyKey, unwrap } from "todo-api-client";
import { useApi } from "./api";
import { type Draft, emptyDraft, fromDraft, TaskForm } from "./TaskForm";

export function AddTask({ say }: { say: (message: string) => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const [draft, setDraft] = useState(emptyDraft);
  // The same key until the text changes: after a lost answer, adding again creates no second task.
  const key = useRef(newIdempotencyKey());
  const replace = (next: Draft) => {
    key.current = newIdempotencyKey();
    setDraft(next);
  };
  const add = useMutation({
    mutationFn: async () => unwrap(await api.createTask(fromDraft(draft), { idempotencyKey: key.current })),
    onSuccess: (task) => {
      replace(emptyDraft);
      say(`Added “${task.title}”.`);
      return queries.invalidateQueries({ queryKey: ["tasks"] });
    },
  });

  return (
    <TaskForm
      label="Add a task"
      compact
      draft={draft}
      onChange={(change) => {
        add.reset();
        replace({ ...draft, ...change });
      }}
      onSubmit={() => !add.isPending && add.mutate()}
      error={add.error}
    >
      <button type="submit" className="primary" aria-disabled={add.isPending}>
        Add task
      </button>
    </TaskForm>
  );
}
