declare module "@usebruno/converters" {
  export function openApiToBruno(document: object): {
    items: unknown[];
    environments: { variables: { name: string; value: string }[] }[];
  };
}
