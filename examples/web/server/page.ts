import { config } from "./config";

/** The address of the API is told at run time, so that one build serves any. */
export const withApiUrl = (html: string) => html.replace("%API_URL%", config.apiUrl.href);
