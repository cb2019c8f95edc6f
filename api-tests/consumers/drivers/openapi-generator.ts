import { Configuration, type TaskResponse, TasksApi } from "../generated/openapi-generator";
import type { Client, Task } from "../session";

/** It has dates as objects. */
const task = (answer: TaskResponse): Task => ({ ...answer, due_date: answer.due_date?.toISOString() ?? null });
const due = (date?: string | null) => (date == null ? date : new Date(date));

export default (basePath: string, accessToken: string): Client => {
  const api = new TasksApi(new Configuration({ basePath, accessToken }));
  return {
    list: async (limit) => (await api.listTasks({ limit })).map(task),
    create: async (body) => task(await api.createTask({ TaskCreate: { ...body, due_date: due(body.due_date) } })),
    get: async (id) => task(await api.getTask({ id })),
    update: async (id, change) =>
      task(await api.updateTask({ id, TaskUpdate: { ...change, due_date: due(change.due_date) } })),
    complete: async (id, state) => task(await api.completeTask({ id, TaskComplete: state })),
    delete: (id) => api.deleteTask({ id }),
  };
};
