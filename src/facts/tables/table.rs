//! The objects of one resource, by name and by UID.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value as Json;

use super::{Key, key_of};
use crate::facts::objects::{Meta, Object};

/// The objects of one resource.
#[derive(Debug)]
pub(in crate::facts) struct Table<T> {
    pub(super) objects: BTreeMap<Key, Arc<T>>,
    pub(super) by_uid: HashMap<String, Key>,
    pub(super) raw: HashMap<String, Arc<Json>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), by_uid: HashMap::new(), raw: HashMap::new() }
    }
}

impl<T: Object> Table<T> {
    pub(in crate::facts) fn get(&self, uid: &str) -> Option<&Arc<T>> {
        self.objects.get(self.by_uid.get(uid)?)
    }

    pub(in crate::facts) fn named(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.objects.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// In order of namespace and name.
    pub(in crate::facts) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.objects.values()
    }

    pub(super) fn of_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        let from = (namespace.to_owned(), String::new());
        self.objects.range(from..).take_while(move |((of, _), _)| of == namespace).map(|(_, object)| object)
    }

    pub(super) fn insert(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        let key = key_of(object.meta());
        let before = self.objects.insert(key.clone(), object.clone());
        if let Some(before) = &before {
            self.by_uid.remove(&before.meta().uid);
            self.raw.remove(&before.meta().uid);
        }
        self.by_uid.insert(object.meta().uid.clone(), key);
        before
    }

    /// Takes an object away, if it is still the one of that UID.
    pub(super) fn remove(&mut self, meta: &Meta) -> Option<Arc<T>> {
        let key = key_of(meta);
        if self.objects.get(&key)?.meta().uid != meta.uid {
            return None;
        }
        self.by_uid.remove(&meta.uid);
        self.raw.remove(&meta.uid);
        self.objects.remove(&key)
    }
}
