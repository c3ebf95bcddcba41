import type { KeyPair } from "../cluster/control-plane/certificates.ts";
import type { Credentials, StoreAccess } from "./store-access.ts";

/** What a user of a store may do with its bucket. */
export type Rights = "None" | "Read" | "ReadWrite";

/** A user of a store besides its root. */
export interface StoreUser extends Credentials {
  readonly rights: Rights;
}

/** Where one life of a server listens and keeps what it has. */
export interface Lodging {
  /** `127.0.0.1:9000` */
  readonly address: string;
  /** A directory of its own. */
  readonly directory: string;
  readonly root: Credentials;
  readonly region: string;
  readonly tls: KeyPair | undefined;
}

/** How a server is started, for `startChild`. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What differs from one kind of server to the other. */
export interface StoreProgram {
  readonly name: string;
  /** Builds the program where that is needed, prepares its directories, and says how to start it. */
  prepare(lodging: Lodging): Promise<Command>;
  /** Makes a user. `users` are all that the store then has, this one included. */
  addUser(access: StoreAccess, change: UserChange): Promise<void>;
  /** Takes a user's keys away for good. `users` are those that remain. */
  removeUser(access: StoreAccess, change: UserChange): Promise<void>;
}

/** One user that comes or goes, and all that the store has after that. */
export interface UserChange {
  readonly user: StoreUser;
  readonly users: readonly StoreUser[];
}
