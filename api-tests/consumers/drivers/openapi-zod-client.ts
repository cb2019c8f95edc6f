import { createApiClient } from "../generated/openapi-zod-client";
import type { Client } from "../session";

export default (url: string, token: string): Client => {
  const api = createApiClient(url, { axiosConfig: { headers: { Authorization: `Bearer ${token}` } } });
  const path = (id: string) => ({ params: { id } });
  return {
    list: (limit) => api.listTasks({ queries: { limit } }),
    create: (task) => api.createTask(task),
    get: (id) => api.getTask(path(id)),
    update: (id, change) => api.updateTask(change, path(id)),
    complete: (id, state) => api.completeTask(state as { completed: boolean }, path(id)),
    delete: (id) => api.deleteTask(undefined, path(id)),
  };
};
