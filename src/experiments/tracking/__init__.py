"""The way of journals into MLflow."""
