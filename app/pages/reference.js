/** The reference of the API, drawn from its OpenAPI document by Swagger UI. */

window.SwaggerUIBundle({
  dom_id: "#reference",
  url: "/openapi.json",
  deepLinking: true,
  validatorUrl: null,
});
