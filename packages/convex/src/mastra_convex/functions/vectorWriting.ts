/** Vectors stored and changed, of no more than one function may read and write. */

import type { AnyDataModel, GenericDatabaseWriter } from "convex/server";
import { toField } from "./documents";
import { along, fromBytes, METADATA, VECTORS, weightOf } from "./nearest";
import type { Document } from "./words";
import { checkSize } from "./writing";

// Of the 16 MiB that a mutation may read, and of those that it may write.
const BYTES = 12 * 1024 * 1024;

interface Given {
  vector: ArrayBuffer | null;
  metadata: string | null;
  document?: string | null;
}

/** The fields of what is given; what is null is no change, but for the document. */
export function fieldsOf({ vector, metadata, document }: Given): Document {
  const fields: Document = {};
  if (vector !== null) fields.embedding = fromBytes(vector);
  if (metadata !== null) fields.metadata = toField(METADATA, metadata);
  if (document !== undefined) fields.document = document ?? undefined;
  return fields;
}

/** What one call reads and writes of an index. */
export class Work {
  private readable = BYTES;
  private writable = BYTES;

  constructor(
    private readonly db: GenericDatabaseWriter<AnyDataModel>,
    private readonly index: string,
  ) {}

  /** Whether another change may be too much. */
  get spent(): boolean {
    return this.readable <= 0 || this.writable <= 0;
  }

  /** The vector with this id, if there is one. */
  async read(id: string): Promise<Document | null> {
    const range = (q: any) => q.eq("indexName", this.index).eq("id", id);
    const found = await along(this.db, VECTORS, "by_index_id", range).first();
    // (Changing or deleting it reads it again.)
    if (found) this.readable -= 2 * weightOf(found);
    return found;
  }

  /** Give the vector that is there these fields, or store a new one. */
  async put(old: Document | null, id: string, fields: Document): Promise<void> {
    const whole = { id, indexName: this.index, ...old, ...fields };
    const size = weightOf(whole);
    checkSize(`the vector ${id}`, size);
    this.writable -= size;
    if (old) await this.db.patch(old._id as any, fields);
    else await this.db.insert(VECTORS, whole);
  }
}
