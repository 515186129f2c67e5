"""A CRM as an MCP server, over standard input and output."""

from mcp.server.mcpserver import MCPServer

PLANS = {"C-1": "pro", "C-2": "free"}

server = MCPServer("crm")


@server.tool()
def get_customer(customer_id: str) -> dict[str, str]:
    """The plan of a customer."""
    return {"id": customer_id, "plan": PLANS.get(customer_id, "unknown")}


if __name__ == "__main__":
    server.run()
