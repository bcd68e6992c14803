/** Vectors looked at one after the other: which match, and how near they are. */

import type { AnyDataModel, GenericDatabaseReader } from "convex/server";
import { ConvexError, v, type Infer } from "convex/values";
import { compare } from "./conditions";
import { fromField } from "./documents";
import { holds, type Node } from "./vectorFilters";
import type { Column, Document } from "./words";

export type Reader = GenericDatabaseReader<AnyDataModel>;

// The tables of the TypeScript framework: vectors of all indexes stand in one.
export const INDEXES = "mastra_vector_indexes";
export const VECTORS = "mastra_vectors";
export const METADATA: Column = { name: "metadata", kind: "object", required: false, nulls: true };
// Of the 32,000 documents and 16 MiB that a function may read.
export const DOCUMENTS = 4000;
export const BYTES = 6 * 1024 * 1024;

/** What is looked for: the `limit` nearest to each of the vectors, or all that match if there are none. */
export const looking = v.object({
  index: v.string(),
  dimension: v.number(),
  vectors: v.array(v.bytes()),
  limit: v.number(),
  /** The filter as JSON text, or null where there is none, or the client applies it. */
  where: v.union(v.null(), v.string()),
  /** Whether metadata and documents are wanted, and whether the vectors are. */
  metadata: v.boolean(),
  whole: v.boolean(),
});

export const row = v.object({
  id: v.string(),
  scores: v.array(v.number()),
  metadata: v.union(v.null(), v.string()),
  document: v.union(v.null(), v.string()),
  vector: v.union(v.null(), v.bytes()),
});

export type Looking = Infer<typeof looking>;
export type Row = Infer<typeof row>;

const encoder = new TextEncoder();

function bytesOf(text: unknown): number {
  return typeof text === "string" ? encoder.encode(text).length : 0;
}

/** About how many bytes a document with a vector has. */
export function weightOf(document: Document): number {
  const texts = bytesOf(fromField(METADATA, document.metadata)) + bytesOf(document.document);
  return 9 * (document.embedding as number[]).length + texts + 200;
}

/** About how many bytes a row has in an answer, where bytes are base64. */
export function weightOfRow(row: Row): number {
  return bytesOf(row.metadata) + bytesOf(row.document) + (row.vector?.byteLength ?? 0) * 1.4 + 200;
}

/** Throws unless there is an index of this name with vectors of this length. */
export async function checkIndex(db: Reader, name: string, dimension: number): Promise<void> {
  const index = await indexOf(db, name);
  if (index?.dimension === dimension) return;
  const message = `there is no index ${name} with ${dimension} dimensions any more`;
  throw new ConvexError({ code: "gone", message });
}

/** What is stored about an index. */
export async function indexOf(db: Reader, name: string): Promise<Document | null> {
  return await along(db, INDEXES, "by_record_id", (q) => q.eq("id", name)).first();
}

/** Documents in the order of an index; the data model knows no names of indexes. */
export function along(db: Reader, table: string, index: string, range: (q: any) => any) {
  return db.query(table).withIndex(index as any, range);
}

/** A filter that was sent, as a predicate over metadata. */
export function filterOf(where: string | null): (document: Document) => boolean {
  if (where === null) return () => true;
  const node = JSON.parse(where) as Node;
  return (document) => {
    const text = fromField(METADATA, document.metadata);
    return holds(node, text === null ? {} : JSON.parse(text as string));
  };
}

interface Candidate {
  document: Document;
  scores: number[];
}

/** Takes documents, and keeps what is asked for. */
export class Search {
  private readonly vectors: { numbers: number[]; length: number }[];
  private readonly matches: (document: Document) => boolean;
  private readonly candidates: Candidate[] = [];

  constructor(private readonly asked: Looking) {
    this.vectors = asked.vectors.map((bytes) => {
      const numbers = fromBytes(bytes);
      return { numbers, length: Math.sqrt(dot(numbers, numbers)) };
    });
    this.matches = filterOf(asked.where);
  }

  take(document: Document): void {
    const embedding = document.embedding as number[];
    // (Others write without looking what the index takes.)
    if (embedding.length !== this.asked.dimension || !this.matches(document)) return;
    const length = Math.sqrt(dot(embedding, embedding));
    const scores = this.vectors.map((one) => {
      const cosine = dot(one.numbers, embedding) / (one.length * length);
      return Number.isFinite(cosine) ? Math.max(-1, Math.min(1, cosine)) : 0;
    });
    this.candidates.push({ document, scores });
  }

  /** The rows that are among the nearest to any of the vectors. */
  rows(): Row[] {
    if (!this.vectors.length) return this.candidates.map((one) => this.row(one));
    const kept = new Set<Candidate>();
    for (let i = 0; i < this.vectors.length; i++) {
      this.candidates.sort((a, b) => b.scores[i]! - a.scores[i]! || compare(idOf(a), idOf(b)));
      for (const one of this.candidates.slice(0, this.asked.limit)) kept.add(one);
    }
    return [...kept].map((one) => this.row(one));
  }

  private row({ document, scores }: Candidate): Row {
    const { metadata, whole } = this.asked;
    const text = document.document;
    return {
      id: document.id as string,
      scores,
      metadata: metadata ? (fromField(METADATA, document.metadata) as string | null) : null,
      document: metadata && typeof text === "string" ? text : null,
      vector: whole ? toBytes(document.embedding as number[]) : null,
    };
  }
}

function idOf(candidate: Candidate): string {
  return candidate.document.id as string;
}

function dot(a: number[], b: number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Vectors cross as 32-bit floats, the least significant byte first. */
export function fromBytes(bytes: ArrayBuffer): number[] {
  const view = new DataView(bytes);
  return Array.from({ length: bytes.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

function toBytes(numbers: number[]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, i) => view.setFloat32(4 * i, number, true));
  return view.buffer;
}
