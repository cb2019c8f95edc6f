import { createApiClient, type Schemas } from "../generated/typed-openapi";
import type { Client } from "../session";

export default (url: string, token: string): Client => {
  const api = createApiClient(
    {
      fetch: ({ method, url, urlSearchParams, parameters }) => {
        if (urlSearchParams) url.search = urlSearchParams.toString();
        return fetch(url, {
          method: method.toUpperCase(),
          headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
          body: parameters?.body === undefined ? null : JSON.stringify(parameters.body),
        });
      },
    },
    url,
  );
  // Its types require the optional headers and the optional body.
  const header = {};
  const path = (id: string) => ({ path: { id }, header });
  return {
    list: (limit) => api.get("/api/tasks", { query: { limit } }),
    // Its type requires the fields that have a default.
    create: (body) => api.post("/api/tasks", { header, body: body as Schemas.TaskCreate }),
    get: (id) => api.get("/api/tasks/{id}", path(id)),
    update: (id, body) => api.put("/api/tasks/{id}", { ...path(id), body }),
    complete: (id, body) =>
      api.patch("/api/tasks/{id}/complete", { ...path(id), body: body as { completed: boolean } }),
    delete: (id) => api.delete("/api/tasks/{id}", path(id)),
  };
};
