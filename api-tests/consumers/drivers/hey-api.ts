import * as api from "../generated/hey-api";
import { client } from "../generated/hey-api/client.gen";
import { type Client, data } from "../session";

export default (baseUrl: string, auth: string): Client => {
  client.setConfig({ baseUrl, auth });
  const path = (id: string) => ({ path: { id } });
  return {
    list: async (limit) => data(await api.listTasks({ query: { limit } })),
    create: async (body) => data(await api.createTask({ body })),
    get: async (id) => data(await api.getTask(path(id))),
    update: async (id, body) => data(await api.updateTask({ ...path(id), body })),
    complete: async (id, body) => data(await api.completeTask({ ...path(id), body })),
    delete: (id) => api.deleteTask(path(id)),
  };
};
