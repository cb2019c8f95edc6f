import { setConfig } from "@kubb/plugin-client/clients/fetch";
import * as api from "../generated/kubb";
import type { Client, Task } from "../session";

export default (baseURL: string, token: string): Client => {
  // Its client for fetch leaves out the type of a JSON body.
  setConfig({ baseURL, headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } });
  return {
    list: (limit) => api.listTasks({ limit }),
    create: (task) => api.createTask(task),
    // Its type has the 304 without a body, too.
    get: (id) => api.getTask(id) as Promise<Task>,
    update: (id, change) => api.updateTask(id, change),
    // Its type requires the optional body, unless that can be null.
    complete: (id, state) => api.completeTask(id, state as { completed: boolean }),
    delete: (id) => api.deleteTask(id),
  };
};
