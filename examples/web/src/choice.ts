import type { Task, TaskQuery } from "todo-api-client";
import { startOfDay } from "./time";

export const orders = {
  newest: { label: "Newest first", query: { sort: "created", order: "desc" } },
  oldest: { label: "Oldest first", query: { sort: "created", order: "asc" } },
  soonest: { label: "Due soonest", query: { sort: "due_date", order: "asc" } },
  latest: { label: "Due latest", query: { sort: "due_date", order: "desc" } },
  priority: { label: "Highest priority", query: { sort: "priority", order: "desc" } },
  title: { label: "Title A to Z", query: { sort: "title", order: "asc" } },
  "title-desc": { label: "Title Z to A", query: { sort: "title", order: "desc" } },
} satisfies Record<string, { label: string; query: TaskQuery }>;
export type Order = keyof typeof orders;

type Definition = {
  label: string;
  /** What selects its tasks at a time. Days begin and end in the user's time zone. */
  query: (now: Date) => TaskQuery;
  /** The order, unless the user chooses another one. */
  order: Order;
  /** What it says if it has no tasks. */
  nothing: string;
};

export const views = {
  all: { label: "All", query: () => ({}), order: "newest", nothing: "No tasks yet. Add your first one above." },
  pending: {
    label: "Pending",
    query: () => ({ status: "pending" }),
    order: "newest",
    nothing: "Nothing is pending. All done.",
  },
  today: {
    label: "Today",
    query: (now) => ({ status: "pending", due_after: startOfDay(now), due_before: startOfDay(now, 1) }),
    order: "soonest",
    nothing: "Nothing is due today.",
  },
  overdue: {
    label: "Overdue",
    query: (now) => ({ status: "pending", due_before: now.toISOString() }),
    order: "soonest",
    nothing: "Nothing is overdue.",
  },
  upcoming: {
    label: "Upcoming",
    query: (now) => ({ status: "pending", due_after: startOfDay(now, 1) }),
    order: "soonest",
    nothing: "Nothing is due after today.",
  },
  completed: {
    label: "Completed",
    query: () => ({ status: "completed" }),
    order: "newest",
    nothing: "Nothing is completed yet.",
  },
} satisfies Record<string, Definition>;
export type View = keyof typeof views;

export const priorities = { high: "High", medium: "Medium", low: "Low", none: "None" } satisfies Record<
  Task["priority"],
  string
>;
export type Priority = Task["priority"];

/** What the user has chosen to see. Empty text stands for no filter, and for the order of the view. */
export type Choice = { view: View; q: string; tag: string; priority: Priority | ""; sort: Order | "" };

export const noFilters = { q: "", tag: "", priority: "" } as const;

export const hasFilters = ({ q, tag, priority }: Choice) => Boolean(q || tag || priority);

/** The filters as parameters of `listTasks`. */
export function filterQuery({ q, tag, priority }: Pick<Choice, "q" | "tag" | "priority">): TaskQuery {
  return { ...(q && { q }), ...(tag && { tag }), ...(priority && { priority }) };
}
