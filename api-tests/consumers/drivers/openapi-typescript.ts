import createClient from "openapi-fetch";
import type { paths } from "../generated/openapi-typescript";
import { type Client, data } from "../session";

export default (baseUrl: string, token: string): Client => {
  const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
  const path = (id: string) => ({ path: { id } });
  return {
    list: async (limit) => data(await api.GET("/api/tasks", { params: { query: { limit } } })),
    create: async (body) => data(await api.POST("/api/tasks", { body })),
    get: async (id) => data(await api.GET("/api/tasks/{id}", { params: path(id) })),
    update: async (id, body) => data(await api.PUT("/api/tasks/{id}", { params: path(id), body })),
    complete: async (id, body) => data(await api.PATCH("/api/tasks/{id}/complete", { params: path(id), body })),
    delete: (id) => api.DELETE("/api/tasks/{id}", { params: path(id) }),
  };
};
