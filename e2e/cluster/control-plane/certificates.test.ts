import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Authority, issue, makeAuthority, reissue } from "./certificates.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-certificates-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const serverUse = "1.3.6.1.5.5.7.3.1";
const clientUse = "1.3.6.1.5.5.7.3.2";

describe("the cluster's certificates", () => {
  let authority: Authority;
  let ca: X509Certificate;

  beforeAll(async () => {
    authority = await makeAuthority(directory);
    ca = new X509Certificate(readFileSync(authority.certificatePath));
  });

  it("come from an authority that may sign", () => {
    expect([ca.ca, ca.verify(ca.publicKey)]).toEqual([true, true]);
  });

  it("name a server by all its names and addresses", async () => {
    const hosts = ["localhost", "kubernetes.default.svc", "127.0.0.1", "10.201.128.1"];
    const { certificatePath } = await issue(authority, { name: "server", commonName: "server", hosts });
    const certificate = new X509Certificate(readFileSync(certificatePath));
    expect(certificate.verify(ca.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.subjectAltName).toBe(
      "DNS:localhost, DNS:kubernetes.default.svc, IP Address:127.0.0.1, IP Address:10.201.128.1",
    );
    expect(certificate.keyUsage).toEqual([clientUse, serverUse]);
  });

  it("name a client's user and group, and let it serve nothing", async () => {
    const request = { name: "admin", commonName: "admin", organization: "system:masters" };
    const { certificatePath } = await issue(authority, request);
    const certificate = new X509Certificate(readFileSync(certificatePath));
    expect(certificate.subject).toBe("O=system:masters\nCN=admin");
    expect(certificate.keyUsage).toEqual([clientUse]);
  });

  it("take the place of the one there is, with another key and by another authority where that is asked for", async () => {
    const other = await makeAuthority(join(directory, "other"));
    const request = { name: "renewed", commonName: "renewed", hosts: ["127.0.0.1"] };
    const pair = await issue(authority, request);
    const read = () => new X509Certificate(readFileSync(pair.certificatePath));
    const before = read();
    await reissue(authority, request, pair);
    const again = read();
    expect([again.fingerprint256 === before.fingerprint256, again.verify(ca.publicKey)]).toEqual([false, true]);
    expect(again.checkPrivateKey(createPrivateKey(readFileSync(pair.keyPath)))).toBe(true);
    await reissue(other, request, pair);
    expect(read().verify(ca.publicKey)).toBe(false);
    expect(read().verify(new X509Certificate(readFileSync(other.certificatePath)).publicKey)).toBe(true);
    expect(read().checkPrivateKey(createPrivateKey(readFileSync(pair.keyPath)))).toBe(true);
  });

  it("are the same when they are asked for again, so that a restarted component is still trusted", async () => {
    const again = await makeAuthority(directory);
    expect(readFileSync(again.certificatePath, "utf8")).toBe(ca.toString());
  });
});
