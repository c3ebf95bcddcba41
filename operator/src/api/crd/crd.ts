import { group, kind, plural, version } from "../names.ts";
import { validationsKey } from "../rule.ts";
import { TrainingRunSpec } from "../spec.ts";
import { TrainingRunStatus } from "../status.ts";
import { nameRules } from "../training-run.ts";
import { type Structural, structuralSchema } from "./structural.ts";

const printerColumns = [
  { name: "State", type: "string", jsonPath: ".status.state" },
  { name: "Step", type: "integer", jsonPath: ".status.progress.step" },
  { name: "Progress", type: "integer", jsonPath: ".status.progress.percentage", description: "Percent of the steps." },
  { name: "Attempt", type: "integer", jsonPath: ".status.attempt" },
  {
    name: "Checkpoint",
    type: "integer",
    jsonPath: ".status.latestVerified.step",
    description: "The newest verified step.",
  },
  { name: "Goodput", type: "string", jsonPath: ".status.totals.goodput" },
  { name: "Node", type: "string", jsonPath: ".status.attempts[0].pods[0].node", priority: 1 },
  {
    name: "Cause",
    type: "string",
    jsonPath: ".status.attempts[*].cause",
    description: "Of the newest end.",
    priority: 1,
  },
  { name: "Loss", type: "string", jsonPath: '.status.progress.metrics[?(@.name=="loss")].value', priority: 1 },
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
];

/** The CustomResourceDefinition, made of the same schemas that the code reads objects with. */
export function customResourceDefinition(): Structural {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: ["trun"],
        categories: ["ml"],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: printerColumns,
          schema: { openAPIV3Schema: rootSchema() },
        },
      ],
    },
  };
}

/** The schema of a whole object, for the CRD. The API server has its own rules for metadata. */
export function rootSchema(): Structural {
  return {
    description: "A training run that survives losing its pods.",
    type: "object",
    required: ["spec"],
    properties: {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      metadata: { type: "object" },
      spec: structuralSchema(TrainingRunSpec),
      status: structuralSchema(TrainingRunStatus),
    },
    [validationsKey]: nameRules.map(({ cel, message }) => ({ rule: cel, message })),
  };
}
