import { useRef, useState } from "react";
import { flushSync } from "react-dom";
import { AddTask } from "./AddTask";
import { choose, useChoice } from "./address";
import { explain } from "./api";
import { hasFilters, noFilters } from "./choice";
import { Empty } from "./Empty";
import { Filters } from "./Filters";
import { useCounts, useKnownTags, useTaskList } from "./queries";
import { KnownTags } from "./TagsField";
import { TaskItem } from "./TaskItem";
import { ViewLinks } from "./ViewLinks";

export function Tasks() {
  const choice = useChoice();
  const list = useTaskList(choice);
  const counts = useCounts(choice);
  const knownTags = useKnownTags();
  const [message, setMessage] = useState({ text: "", number: 0 });
  const heading = useRef<HTMLHeadingElement>(null);
  const rows = useRef<HTMLUListElement>(null);
  const say = (text: string) => setMessage(({ number }) => ({ text, number: number + 1 }));

  const tasks = list.data?.pages.flatMap((page) => page.tasks);
  const number = tasks?.length ?? 0;
  // Until this is true, the list has the tasks of the previous choice.
  const loaded = list.data && !list.isPlaceholderData;
  const counted = counts.isPlaceholderData ? undefined : counts.data?.[choice.view];
  // Say it once, when it is certain.
  const known = loaded && !(list.hasNextPage && counts.isFetching);

  async function more() {
    const { isError } = await list.fetchNextPage();
    if (isError) return;
    flushSync(() => say("More tasks are shown."));
    // The button may be gone.
    const firstNew = rows.current?.children[number]?.querySelector("input");
    (firstNew ?? heading.current)?.focus();
  }

  function clearFilters() {
    choose(noFilters);
    // The button is gone.
    heading.current?.focus();
  }

  return (
    <main>
      <h1 ref={heading} tabIndex={-1}>
        Your tasks
      </h1>
      <KnownTags tags={knownTags} />
      <AddTask say={say} />
      <ViewLinks choice={choice} counts={counts.data} />
      <Filters choice={choice} knownTags={knownTags} />
      <div className="results">
        <p role="status" aria-label="Results">
          {known && describe(number, list.hasNextPage ? counted : number)}
        </p>
        {hasFilters(choice) && number > 0 && (
          <button type="button" className="link" onClick={clearFilters}>
            Clear filters
          </button>
        )}
      </div>

      {list.error && (
        <div role="alert" className="alert">
          <p>{explain(list.error)}</p>
          <button type="button" onClick={() => void (list.isFetchNextPageError ? more() : list.refetch())}>
            Try again
          </button>
        </div>
      )}
      {!loaded && !list.error && number === 0 && <Skeleton />}
      {loaded && number === 0 && <Empty choice={choice} onClear={clearFilters} />}
      {tasks && number > 0 && (
        // biome-ignore lint/a11y/noRedundantRoles: Safari takes the role from a list without markers.
        <ul ref={rows} className="tasks panel" role="list" aria-label="Tasks" aria-busy={list.isPlaceholderData}>
          {tasks.map((task) => (
            <TaskItem
              key={task.id}
              task={task}
              now={list.dataUpdatedAt}
              choice={choice}
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

/** The number of tasks or, if there are too many to count, of those that are shown. */
function describe(shown: number, counted: number | undefined): string {
  const tasks = (number: number) => (number === 1 ? "1 task" : `${number} tasks`);
  return counted === undefined ? `${tasks(shown)} so far` : tasks(counted);
}

const Skeleton = () => (
  <div className="skeleton" role="status" aria-label="Loading tasks">
    <i /> <i /> <i />
  </div>
);
