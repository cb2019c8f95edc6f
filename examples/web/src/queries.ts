import {
  type InfiniteData,
  keepPreviousData,
  useInfiniteQuery,
  useIsMutating,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { nextCursor, type Task, type TaskQuery, unwrap } from "todo-api-client";
import { useApi } from "./api";
import { type Choice, filterQuery, orders, type View, views } from "./choice";

type Page = { tasks: Task[]; next: TaskQuery | undefined };

/** The tasks that the user has chosen to see, page by page. */
export function useTaskList(choice: Choice) {
  const api = useApi();
  return useInfiniteQuery({
    queryKey: ["tasks", "list", choice],
    queryFn: async ({ pageParam, signal }): Promise<Page> => {
      const view = views[choice.view];
      let query: TaskQuery | undefined = pageParam ?? {
        ...view.query(new Date()),
        ...filterQuery(choice),
        ...orders[choice.sort || view.order].query,
        limit: 20,
      };
      const tasks: Task[] = [];
      // A request looks at a bounded number of tasks. So a page may have no task that matches, and yet lead to another.
      while (query && tasks.length === 0) {
        const answer = await api.listTasks(query, { signal });
        tasks.push(...unwrap(answer));
        const cursor = nextCursor(answer);
        // All pages have the times of the first one.
        query = cursor === undefined ? undefined : { ...query, cursor };
      }
      return { tasks, next: query };
    },
    initialPageParam: undefined as TaskQuery | undefined,
    getNextPageParam: ({ next }) => next,
    placeholderData: keepPreviousData,
  });
}

/** How many tasks each view has under the filters. A number is missing if there are too many tasks to count. */
export function useCounts({ q, tag, priority }: Choice) {
  const api = useApi();
  // After several changes, count once.
  const settled = useIsMutating() === 0;
  return useQuery({
    queryKey: ["tasks", "counts", q, tag, priority],
    queryFn: async ({ signal }) => {
      const now = new Date();
      const count = async (view: View) => {
        const query = { ...views[view].query(now), ...filterQuery({ q, tag, priority }), limit: 1, count: true };
        const answer = await api.listTasks(query, { signal });
        unwrap(answer);
        return answer.total;
      };
      const [pending, completed, today, overdue, upcoming] = await Promise.all([
        count("pending"),
        count("completed"),
        count("today"),
        count("overdue"),
        count("upcoming"),
      ]);
      const all = pending === undefined || completed === undefined ? undefined : pending + completed;
      return { all, pending, today, overdue, upcoming, completed };
    },
    enabled: settled,
    placeholderData: keepPreviousData,
  });
}

/** The tags of the tasks that have been loaded, to suggest them. */
export function useKnownTags(): string[] {
  const queries = useQueryClient();
  const lists = queries.getQueriesData<InfiniteData<Page>>({ queryKey: ["tasks", "list"] });
  const tasks = lists.flatMap(([, list]) => list?.pages ?? []).flatMap((page) => page.tasks);
  return [...new Set(tasks.flatMap((task) => task.tags))].sort((a, b) => a.localeCompare(b));
}
