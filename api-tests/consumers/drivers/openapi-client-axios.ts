import { OpenAPIClientAxios } from "openapi-client-axios";
import type { Client as Api } from "../generated/openapi-client-axios";
import type { Client } from "../session";

export default async (baseURL: string, token: string): Promise<Client> => {
  const axios = new OpenAPIClientAxios({
    definition: `${baseURL}/openapi.json`,
    axiosConfigDefaults: { baseURL, headers: { Authorization: `Bearer ${token}` } },
  });
  const api = await axios.init<Api>();
  return {
    list: async (limit) => (await api.listTasks({ limit })).data,
    create: async (task) => (await api.createTask(null, task)).data,
    get: async (id) => (await api.getTask(id)).data,
    update: async (id, change) => (await api.updateTask(id, change)).data,
    complete: async (id, state) => (await api.completeTask(id, state)).data,
    delete: (id) => api.deleteTask(id),
  };
};
