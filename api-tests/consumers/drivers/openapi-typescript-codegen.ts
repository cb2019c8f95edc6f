import { OpenAPI, TasksService } from "../generated/openapi-typescript-codegen";
import type { Client } from "../session";

export default (url: string, token: string): Client => {
  Object.assign(OpenAPI, { BASE: url, TOKEN: token });
  return {
    list: (limit) => TasksService.listTasks(undefined, undefined, undefined, limit),
    create: (task) => TasksService.createTask(task),
    get: (id) => TasksService.getTask(id),
    update: (id, change) => TasksService.updateTask(id, change),
    complete: (id, state) => TasksService.completeTask(id, undefined, undefined, state),
    delete: (id) => TasksService.deleteTask(id),
  };
};
