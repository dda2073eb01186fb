import { createApp, OPENAPI } from './app.ts';
import type { Services } from './context.ts';

/** Written as API Gateway exports it: OpenAPI has no type for signatures in a header. */
const SIGV4 = {
  type: 'apiKey',
  name: 'Authorization',
  in: 'header',
  description: 'AWS Signature Version 4 for `execute-api`.',
  'x-amazon-apigateway-authtype': 'awsSigv4',
} as const;

/** The OpenAPI document of the registered routes; calls no service. */
export function openApiDocument(): OpenApiDocument {
  const app = createApp({} as Services);
  app.openAPIRegistry.registerComponent('securitySchemes', 'sigv4', SIGV4);
  return app.getOpenAPI31Document(OPENAPI) as unknown as OpenApiDocument;
}

/** The parts of an OpenAPI document that the reference page uses. */
export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Operation {
  readonly tags: readonly string[];
  readonly summary: string;
  readonly parameters?: readonly {
    name: string;
    in: string;
    required?: boolean;
    description?: string;
    schema: Schema;
  }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content }>>;
}

export type Content = Readonly<Record<string, { readonly schema: Schema }>>;

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}
