import { type ApiClient, createApiClient } from "./api-client.ts";
import { ApiUnreachable } from "./api-error.ts";

/** Asks an API server something that it may not be ready to answer yet; no answer counts as no. */
export async function probeApi(kubeconfigPath: string, ask: (client: ApiClient) => Promise<boolean>): Promise<boolean> {
  const client = await createApiClient(kubeconfigPath);
  try {
    return await ask(client);
  } catch (error) {
    if (error instanceof ApiUnreachable) return false;
    throw error;
  } finally {
    await client.close();
  }
}
