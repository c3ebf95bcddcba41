import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { run } from "../processes/command.ts";

/** A certificate and its private key, as files. */
export interface KeyPair {
  readonly certificatePath: string;
  readonly keyPath: string;
}

/** Whom a certificate is for. Kubernetes reads the user from the common name and the groups from the organizations. */
export interface CertificateRequest {
  /** File name without its ending. */
  readonly name: string;
  readonly commonName: string;
  readonly organization?: string;
  /** DNS names and IP addresses under which a server with this certificate is reached. */
  readonly hosts?: readonly string[];
}

/** The cluster's own certificate authority: a directory of files that openssl reads and writes. */
export interface Authority extends KeyPair {
  readonly directory: string;
}

const days = "365";
const keyOptions = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** Makes the authority in a directory, or takes the one that is there. */
export async function makeAuthority(directory: string): Promise<Authority> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const authority = { directory, certificatePath: join(directory, "ca.crt"), keyPath: join(directory, "ca.key") };
  if (existsSync(authority.certificatePath)) return authority;
  const configPath = await writeConfig(directory, "ca", [
    "[extensions]",
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,digitalSignature,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
  ]);
  const subject = ["-subj", "/CN=trainingrun-cluster", "-config", configPath, "-extensions", "extensions"];
  const files = ["-keyout", authority.keyPath, "-out", authority.certificatePath];
  await run("openssl", ["req", "-x509", "-days", days, ...keyOptions, ...subject, ...files]);
  await rm(configPath);
  return authority;
}

/** Signs a certificate that is good for clients and, when it names hosts, for servers too; or takes the one that is there. */
export async function issue(authority: Authority, request: CertificateRequest): Promise<KeyPair> {
  const { certificatePath, keyPath } = keyPairAt(authority.directory, request.name);
  if (existsSync(certificatePath)) return { certificatePath, keyPath };
  return await sign(authority, request, { certificatePath, keyPath });
}

/**
 * Signs a certificate with a key of its own, and puts both in place of the pair that is there. Between the two a reader
 * finds halves that do not belong together, and has to read again.
 */
export async function reissue(authority: Authority, request: CertificateRequest, pair: KeyPair): Promise<void> {
  const next = { certificatePath: `${pair.certificatePath}.next`, keyPath: `${pair.keyPath}.next` };
  await sign(authority, request, next);
  await rename(next.keyPath, pair.keyPath);
  await rename(next.certificatePath, pair.certificatePath);
}

function keyPairAt(directory: string, name: string): KeyPair {
  return { certificatePath: join(directory, `${name}.crt`), keyPath: join(directory, `${name}.key`) };
}

async function sign(authority: Authority, request: CertificateRequest, pair: KeyPair): Promise<KeyPair> {
  const { certificatePath, keyPath } = pair;
  const requestPath = join(authority.directory, `${request.name}.csr`);
  const configPath = await writeConfig(authority.directory, request.name, extensions(request));
  const organization = request.organization === undefined ? "" : `/O=${request.organization}`;
  const subject = ["-subj", `${organization}/CN=${request.commonName}`, "-config", configPath];
  await run("openssl", ["req", "-new", ...keyOptions, ...subject, "-keyout", keyPath, "-out", requestPath]);
  const ca = ["-CA", authority.certificatePath, "-CAkey", authority.keyPath, "-set_serial", serialNumber()];
  const extension = ["-extfile", configPath, "-extensions", "extensions"];
  const files = ["-in", requestPath, "-out", certificatePath];
  await run("openssl", ["x509", "-req", "-days", days, ...ca, ...extension, ...files]);
  await Promise.all([rm(requestPath), rm(configPath)]);
  return pair;
}

/** The key that signs service account tokens; its public half is derived by whoever verifies them. */
export async function makeServiceAccountKey(directory: string): Promise<string> {
  const path = join(directory, "service-account.key");
  if (!existsSync(path)) await run("openssl", ["genrsa", "-out", path, "2048"]);
  return path;
}

function extensions(request: CertificateRequest): string[] {
  const hosts = request.hosts ?? [];
  const names = hosts.map((host, index) => (isIP(host) === 0 ? `DNS.${index}=${host}` : `IP.${index}=${host}`));
  return [
    "[extensions]",
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature,keyEncipherment",
    `extendedKeyUsage=clientAuth${hosts.length === 0 ? "" : ",serverAuth"}`,
    ...(hosts.length === 0 ? [] : ["subjectAltName=@names", "[names]", ...names]),
  ];
}

async function writeConfig(directory: string, name: string, lines: readonly string[]): Promise<string> {
  const path = join(directory, `${name}.cnf`);
  await writeFile(path, ["[req]", "distinguished_name=subject", "[subject]", ...lines, ""].join("\n"));
  return path;
}

function serialNumber(): string {
  return `0x${crypto.randomUUID().replaceAll("-", "")}`;
}
