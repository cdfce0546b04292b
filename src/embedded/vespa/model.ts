/**
 * What the emulator knows of a deployed application package: read from its `services.xml` and `schemas/*.sd` by
 * `package/`, used by `documents/` (feeding, visiting) and `search/` (queries, ranking). Plain data, no I/O.
 */

/** `tensor<bfloat16>(patch{}, v[128])`; dimensions in the alphabetic order Vespa keeps them in. */
export interface TensorType {
  readonly cell: 'double' | 'float' | 'bfloat16' | 'int8';
  readonly dimensions: readonly {
    readonly name: string;
    /** Absent for a mapped dimension. */ readonly size?: number;
  }[];
}

export type FieldType =
  | { readonly kind: 'string' | 'int' | 'long' | 'double' | 'float' | 'bool' | 'byte' | 'raw' | 'uri' }
  | { readonly kind: 'tensor'; readonly tensor: TensorType }
  | { readonly kind: 'array' | 'weightedset'; readonly element: FieldType }
  | { readonly kind: 'map'; readonly key: FieldType; readonly value: FieldType };

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly summary: boolean;
  readonly attribute: boolean;
  readonly index: boolean;
  readonly bm25: boolean;
  readonly fastSearch: boolean;
  /** `match: cased`: capital letters count. */
  readonly cased: boolean;
  /** `distance-metric` of a tensor attribute, when given. */
  readonly distanceMetric?: string;
}

export interface RankProfile {
  readonly name: string;
  readonly inherits: readonly string[];
  /** `query(qt)` → its tensor type; a scalar input has no dimensions. */
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly functions: ReadonlyMap<
    string,
    { readonly parameters: readonly string[]; readonly expression: string }
  >;
  readonly constants: ReadonlyMap<string, number>;
  readonly firstPhase?: string;
  readonly secondPhase?: { readonly expression: string; readonly rerankCount: number };
  readonly summaryFeatures: readonly string[];
  readonly matchFeatures: readonly string[];
}

export interface Schema {
  readonly name: string;
  readonly fields: ReadonlyMap<string, Field>;
  readonly fieldSets: ReadonlyMap<string, readonly string[]>;
  /** Inheritance resolved; `default` and `unranked` are always there. */
  readonly rankProfiles: ReadonlyMap<string, RankProfile>;
}

export interface ApplicationModel {
  readonly generation: number;
  readonly containerCluster: string;
  readonly contentCluster: string;
  /** Only schemas that `services.xml` maps to the content cluster. */
  readonly schemas: ReadonlyMap<string, Schema>;
}
