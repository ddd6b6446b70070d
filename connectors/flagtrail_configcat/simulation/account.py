"""What Fernweh Travel owns at the simulated ConfigCat: organizations, products, configs and environments."""

from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5


def guid(*names: str) -> str:
    """Return the GUID of a thing: always the same for the same names."""
    return str(uuid5(NAMESPACE_URL, "https://fernweh.example/" + "/".join(names)))


@dataclass(frozen=True, slots=True)
class Config:
    """A set of flags."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Where flags have values."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """An application with its configs and environments."""

    id: str
    name: str
    configs: tuple[Config, ...]
    environments: tuple[Environment, ...]


@dataclass(frozen=True, slots=True)
class Organization:
    """The owner of products, and of one audit log."""

    id: str
    name: str
    products: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an organization a change was made; what is None does not belong to it."""

    organization: Organization
    product: Product | None = None
    config: Config | None = None
    environment: Environment | None = None

    @property
    def where(self) -> str:
        """The place in ConfigCat's words, such as `Web Shop / Payments / Production`."""
        parts = [part.name for part in (self.product, self.config, self.environment) if part is not None]
        return " / ".join(parts) or self.organization.name

    @property
    def ids(self) -> dict[str, str]:
        """The query parameters that find this place."""
        parts = {"productId": self.product, "configId": self.config, "environmentId": self.environment}
        return {name: part.id for name, part in parts.items() if part is not None}


def _product(organization: str, name: str, configs: tuple[str, ...], environments: tuple[str, ...]) -> Product:
    return Product(
        guid(organization, name),
        name,
        tuple(Config(guid(organization, name, "config", config), config) for config in configs),
        tuple(Environment(guid(organization, name, "environment", each), each) for each in environments),
    )


TRAVEL = Organization(
    guid("Fernweh Travel"),
    "Fernweh Travel",
    (
        _product("Fernweh Travel", "Web Shop", ("Main", "Payments"), ("Production", "Staging", "Test")),
        _product("Fernweh Travel", "Mobile App", ("Main", "Payments"), ("Production", "Staging", "Test")),
    ),
)
LABS = Organization(
    guid("Fernweh Labs"),
    "Fernweh Labs",
    (_product("Fernweh Labs", "Trip Planner", ("Main",), ("Production", "Test")),),
)
ORGANIZATIONS = (TRAVEL, LABS)


def product_with(product_id: str) -> tuple[Organization, Product] | None:
    """Return a product and who owns it, None when nobody has one with that id."""
    owned = ((owner, each) for owner in ORGANIZATIONS for each in owner.products)
    return next((found for found in owned if found[1].id == product_id), None)


def listed(path: str) -> Any:
    """Return what ConfigCat lists under a path of discovery, None when it knows no such path."""
    match path.strip("/").split("/"):
        case ["v1", "me"]:
            return {"email": "ana.silva@fernweh.example", "fullName": "Ana Silva"}
        case ["v1", "organizations"]:
            return [organization_json(each) for each in ORGANIZATIONS]
        case ["v1", "products"]:
            return [product_json(owner, each) for owner in ORGANIZATIONS for each in owner.products]
        case ["v1", "products", product_id, "configs"] if found := product_with(product_id):
            return [config_json(*found, each) for each in found[1].configs]
        case ["v1", "products", product_id, "environments"] if found := product_with(product_id):
            return [environment_json(*found, each) for each in found[1].environments]
    return None


def organization_json(organization: Organization) -> dict[str, Any]:
    """Return an organization as the lists of ConfigCat show it."""
    return {"organizationId": organization.id, "name": organization.name}


def product_json(organization: Organization, product: Product) -> dict[str, Any]:
    """Return a product as the lists of ConfigCat show it."""
    return {
        "productId": product.id,
        "name": product.name,
        "description": None,
        "order": organization.products.index(product),
        "reasonRequired": False,
        "approveRequired": False,
        "organization": organization_json(organization),
    }


def config_json(organization: Organization, product: Product, config: Config) -> dict[str, Any]:
    """Return a config as the lists of ConfigCat show it."""
    return {
        "configId": config.id,
        "name": config.name,
        "description": f"Flags of {product.name}",
        "order": product.configs.index(config),
        "migratedConfigId": None,
        "evaluationVersion": "v2",
        "product": product_json(organization, product),
    }


def environment_json(organization: Organization, product: Product, environment: Environment) -> dict[str, Any]:
    """Return an environment as the lists of ConfigCat show it."""
    return {
        "environmentId": environment.id,
        "name": environment.name,
        "color": None,
        "description": None,
        "order": product.environments.index(environment),
        "reasonRequired": environment.name == "Production",
        "approveRequired": False,
        "product": product_json(organization, product),
    }
