/**
 * shelf.ts: resources that were made before, so that the same one is not encoded and hashed again.
 *
 * Gateways of one datacenter differ in their listeners only, and one change leaves nearly everything as it was. What is
 * found here is the very object, so its frame exists once however many gateways are sent it.
 * Lives here: that memory, bounded. Must not live here: what resources say.
 */

import type { JsonObject } from '../wire/json.ts';
import { type Resource, type ResourceType, resourceOf } from './resource.ts';

/** From canonical JSON to a resource: `resourceOf`, or a shelf's. */
export type MakeResource = (type: ResourceType, name: string, json: JsonObject) => Resource;

/** Of each of two generations; about 10 MiB when both are full. */
const generationMax = 8_192;

export class Shelf {
  #young = new Map<string, Resource>();
  #old = new Map<string, Resource>();
  readonly #max: number;

  constructor(max: number = generationMax) {
    this.#max = max;
  }

  readonly make: MakeResource = (type, name, json) => {
    const key = `${type} ${JSON.stringify(json)}`;
    const known = this.#young.get(key);
    if (known !== undefined) return known;
    const resource = this.#old.get(key) ?? resourceOf(type, name, json);
    if (this.#young.size >= this.#max) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, resource);
    return resource;
  };

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
