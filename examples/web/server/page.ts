import { config } from "./config";

/** The page gets the address of the API at run time, so that one build works with any API. */
export const withApiUrl = (html: string) => html.replace("%API_URL%", config.apiUrl.href);
