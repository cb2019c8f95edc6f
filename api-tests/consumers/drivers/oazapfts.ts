import { ok } from "@oazapfts/runtime";
import * as api from "../generated/oazapfts";
import type { Client, Task } from "../session";

export default (baseUrl: string, token: string): Client => {
  Object.assign(api.defaults, { baseUrl, headers: { Authorization: `Bearer ${token}` } });
  return {
    list: (limit) => ok(api.listTasks({ limit })),
    create: (task) => ok(api.createTask(task)),
    // Its type has the 304 without a body, too.
    get: (id) => ok(api.getTask(id)) as Promise<Task>,
    update: (id, change) => ok(api.updateTask(id, change)),
    complete: (id, state) => ok(api.completeTask(id, state)),
    delete: (id) => ok(api.deleteTask(id)),
  };
};
