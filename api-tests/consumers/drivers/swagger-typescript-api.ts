import { Api } from "../generated/swagger-typescript-api/api";
import { type Client, data } from "../session";

export default (baseUrl: string, token: string): Client => {
  const { api } = new Api({
    baseUrl,
    baseApiParams: { secure: true },
    securityWorker: () => ({ headers: { Authorization: `Bearer ${token}` } }),
  });
  return {
    list: async (limit) => data(await api.listTasks({ limit })),
    create: async (task) => data(await api.createTask(task)),
    get: async (id) => data(await api.getTask(id)),
    update: async (id, change) => data(await api.updateTask(id, change)),
    complete: async (id, state) => data(await api.completeTask(id, state)),
    delete: (id) => api.deleteTask(id),
  };
};
