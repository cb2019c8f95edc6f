import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { nextCursor, type TaskQuery, unwrap } from "todo-api-client";
import { AddTask } from "./AddTask";
import { explain, useApi } from "./api";
import { TaskItem } from "./TaskItem";

const statuses = { all: "All", pending: "Pending", completed: "Completed" } as const;

const orders = {
  "Newest first": { sort: "created", order: "desc" },
  "Oldest first": { sort: "created", order: "asc" },
  "Due soonest": { sort: "due_date", order: "asc" },
  "Due latest": { sort: "due_date", order: "desc" },
  "Title A to Z": { sort: "title", order: "asc" },
  "Title Z to A": { sort: "title", order: "desc" },
} satisfies Record<string, TaskQuery>;

const nothing = {
  all: "Nothing here yet. Add your first task above.",
  pending: "Nothing is pending. All done.",
  completed: "Nothing is completed yet.",
};

export function Tasks() {
  const api = useApi();
  const [status, setStatus] = useState<keyof typeof statuses>("all");
  const [order, setOrder] = useState<keyof typeof orders>("Newest first");
  const [message, setMessage] = useState({ text: "", number: 0 });
  const heading = useRef<HTMLHeadingElement>(null);
  const say = (text: string) => setMessage(({ number }) => ({ text, number: number + 1 }));

  const list = useInfiniteQuery({
    queryKey: ["tasks", status, order],
    queryFn: async ({ pageParam, signal }) => {
      const answer = await api.listTasks({ status, ...orders[order], limit: 20, ...pageParam }, { signal });
      return { tasks: unwrap(answer), cursor: nextCursor(answer) };
    },
    initialPageParam: {},
    getNextPageParam: ({ cursor }) => cursor && { cursor },
    placeholderData: keepPreviousData,
  });
  const tasks = list.data?.pages.flatMap((page) => page.tasks);

  async function more() {
    const { isError } = await list.fetchNextPage();
    if (!isError) say("More tasks are shown.");
  }

  return (
    <main>
      <h1 ref={heading} tabIndex={-1}>
        Your tasks
      </h1>
      <AddTask say={say} />
      <div className="toolbar">
        <fieldset className="segments">
          <legend>Show</legend>
          {(Object.keys(statuses) as (keyof typeof statuses)[]).map((value) => (
            <label key={value}>
              <input type="radio" name="status" checked={status === value} onChange={() => setStatus(value)} />
              {statuses[value]}
            </label>
          ))}
        </fieldset>
        <div>
          <label htmlFor="order">Sort by</label>
          <select id="order" value={order} onChange={(event) => setOrder(event.target.value as keyof typeof orders)}>
            {Object.keys(orders).map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </div>
      </div>

      {list.error && (
        <div role="alert" className="alert">
          <p>{explain(list.error)}</p>
          <button type="button" onClick={() => void list.refetch()}>
            Try again
          </button>
        </div>
      )}
      {list.isPending && <Skeleton />}
      {tasks?.length === 0 && <p className="empty">{nothing[status]}</p>}
      {tasks && tasks.length > 0 && (
        // biome-ignore lint/a11y/noRedundantRoles: Safari takes the role from a list without markers.
        <ul className="tasks panel" role="list" aria-label="Tasks" aria-busy={list.isPlaceholderData}>
          {tasks.map((task) => (
            <TaskItem
              key={task.id}
              task={task}
              now={list.dataUpdatedAt}
              say={say}
              onLeave={() => heading.current?.focus()}
            />
          ))}
        </ul>
      )}
      {list.hasNextPage && (
        <button type="button" className="more" aria-disabled={list.isFetchingNextPage} onClick={more}>
          Load more
        </button>
      )}
      <p role="status" className="toast">
        {message.text && (
          <span key={message.number} onAnimationEnd={() => setMessage({ ...message, text: "" })}>
            {message.text}
          </span>
        )}
      </p>
    </main>
  );
}

const Skeleton = () => (
  <div className="skeleton" role="status" aria-label="Loading tasks">
    <i /> <i /> <i />
  </div>
);
