/** A listing as the store gave it. */
export interface Listing {
  readonly headers: readonly string[];
  readonly body: string;
}

const maxListings = 256;

/** The newest listing of each URL that went through. */
export class ListMemory {
  readonly #listings = new Map<string, Listing>();

  remember(url: string, listing: Listing): void {
    this.#listings.delete(url);
    this.#listings.set(url, listing);
    const [oldest] = this.#listings.keys();
    if (oldest !== undefined && this.#listings.size > maxListings) this.#listings.delete(oldest);
  }

  recall(url: string): Listing | undefined {
    return this.#listings.get(url);
  }
}

/** The listing without the objects whose key matches. */
export function withoutKeys(xml: string, key: RegExp): string {
  return xml.replaceAll(/<Contents>.*?<\/Contents>/gs, (entry) => {
    const name = /<Key>(.*?)<\/Key>/s.exec(entry)?.[1] ?? "";
    return decodeURIComponent(name).search(key) < 0 ? entry : "";
  });
}
